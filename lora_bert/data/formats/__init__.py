"""The file formats, one module each; every one gives :class:`lora_bert.data.rows.OpenTable`."""
