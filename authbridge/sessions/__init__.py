"""Who the browser is: what a site's request shows, and whose session that is."""
