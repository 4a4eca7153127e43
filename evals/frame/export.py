"""Writing the frame for other programs."""

from pathlib import Path

import pandas as pd

from sidedoor.evals.samples import write_table

PARQUET = "samples.parquet"
CSV = "samples.csv"


def write_samples(folder: Path, samples: pd.DataFrame) -> tuple[Path, Path]:
    """Write a frame's samples as `samples.parquet` (typed) and `samples.csv` (safe to open in a spreadsheet).

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples.to_parquet(folder / PARQUET, engine="pyarrow", index=False)
    whole = samples.astype(object).where(samples.notna(), None)
    write_table(folder / CSV, whole.columns, whole.itertuples(index=False, name=None))
    return folder / PARQUET, folder / CSV
