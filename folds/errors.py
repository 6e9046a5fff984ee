"""The errors of `folds`: what is stored is no good, or this machine cannot keep it."""

__all__ = ["CheckpointUnusable", "FolderUnusable", "FoldsError", "RunDamaged"]


class FoldsError(Exception):
    """The base of all errors of this package."""


class RunDamaged(FoldsError):
    """The bytes are no run, or not the ones that were written: get them from elsewhere, or fold the logs again."""


class CheckpointUnusable(FoldsError):
    """A checkpoint is damaged, incomplete or of another version: an earlier one or the logs themselves must do."""


class FolderUnusable(FoldsError):
    """The folder for checkpoints cannot be written: free space there, or choose another `--data`."""
