"""What is asked of a text: targets, head, loss, answers, figures; one file a task."""
