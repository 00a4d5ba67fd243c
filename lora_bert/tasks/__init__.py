"""What a task is: label codec, head, loss, decoding."""
