"""How values of each kind cross as each AWS scalar."""

from django_datastore.introspection.codecs.base import Codec, text_of
from django_datastore.introspection.codecs.json_values import json_meaning
from django_datastore.introspection.codecs.table import CODECS, allowed_scalars, codec, list_codec

__all__ = ["CODECS", "Codec", "allowed_scalars", "codec", "json_meaning", "list_codec", "text_of"]
