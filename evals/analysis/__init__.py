"""From counts to numbers that a careful reader can trust: rates, differences, and what they do not show.

The estimators are pure functions over counts and arrays. Rates and differences are fractions of 1 throughout (0.05 is
5 %, or 5 percentage points); levels are two-sided confidence levels unless a docstring says otherwise.
"""
