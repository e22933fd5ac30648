"""Plans of other libraries beside ours."""
