"""The file formats; every reader gives an :class:`lora_bert.data.rows.OpenTable`."""
