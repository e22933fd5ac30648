"""Networks of others, and of other tasks than classifying images, from statistics to a metric."""
