"""What the process and the machine give: threads, memory, signals, devices, a progress bar."""
