"""What a request of a cloud service means, read from JSON-like data alone: SDK hooks, REST fence and gateway share it.

One module a service, each with `translate`, which gives an `Operation` or None: a request without picture, video or
reference to one that is no face operation. An operation's payload is a flat mapping of *paths* to the parts that can
carry pictures; `parts.replaced` puts what the guard gave back into a copy of the request::

    operation = rekognition.translate("SearchFacesByImage", params)
    with passage(operation, refuse) as payload:
        send(parts.replaced(params, payload))
"""
