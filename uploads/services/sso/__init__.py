"""Single sign-on by OpenID Connect: the provider, and which user of ours somebody is who signed in there."""
