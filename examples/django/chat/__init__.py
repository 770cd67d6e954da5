"""Web chat for the users of a Django site, through authbridge."""
