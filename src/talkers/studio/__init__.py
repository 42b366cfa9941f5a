"""The studio: a page for people, beside the API of `talkers serve`.

`mount.mount_studio` puts it into the server's application. Work is done by the server's jobs; the
page asks how far they are. The extra `studio` brings what is needed.
"""
