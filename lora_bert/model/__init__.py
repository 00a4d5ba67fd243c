"""The immutable backbone, and the functions that run it: trunk and branch."""
