"""The families of backbones, close kin in one file: names, defaults, and what is special."""
