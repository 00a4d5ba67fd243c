"""Text becomes token ids: the tokenizer, tokenized texts, and how they are put into batches."""
