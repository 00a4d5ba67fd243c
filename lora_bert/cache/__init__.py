"""What need not be computed twice: tokenised texts and trunk outputs, in memory or on disk."""
