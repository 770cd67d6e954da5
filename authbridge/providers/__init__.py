"""OAuth 2.0 and OpenID Connect providers: whose an access token is, and whether it is good here."""
