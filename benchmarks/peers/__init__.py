"""What others do with the same rows: HF Trainer + PEFT, the tutorials' loop, other engines."""
