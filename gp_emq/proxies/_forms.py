"""What forms proxies come in."""

ALIGNED = "aligned"
AS_PUBLISHED = "as-published"
FORMS = (ALIGNED, AS_PUBLISHED)
"""The method as its paper derives it, and as the public ranking scripts compute it."""

EVOLVED = "evolved"
"""Family of what a search found or a user wrote."""
