"""The verdict in the forms that CI systems read. Names in it may be hostile; each form makes them inert."""
