"""Model schemas for these tests."""

from __future__ import annotations

from django_datastore.schema.types import (
    Association,
    ConnectionType,
    FieldKind,
    FieldSchema,
    ModelSchema,
    NonModelSchema,
    Schema,
)

ID = FieldSchema("id", "ID", is_required=True)
CREATED_AT = FieldSchema("createdAt", "AWSDateTime", is_read_only=True)

BLOG = ModelSchema("Blog", "Blogs", (ID, FieldSchema("name", "String", is_required=True)))

PRODUCT = ModelSchema(
    "Product",
    "Products",
    (
        FieldSchema("sku", "ID", is_required=True),
        FieldSchema("lot", "Int", is_required=True),
        FieldSchema("name", "String"),
    ),
    primary_key=("sku", "lot"),
)

POST = ModelSchema(
    "Post",
    "Posts",
    (
        ID,
        FieldSchema(
            "blog",
            "Blog",
            FieldKind.MODEL,
            association=Association(ConnectionType.BELONGS_TO, target_names=("blogId",)),
        ),
        FieldSchema("title", "String", is_required=True),
        FieldSchema("place", "Place", FieldKind.NON_MODEL),
        FieldSchema("status", "PostStatus", FieldKind.ENUM),
        FieldSchema(
            "product",
            "Product",
            FieldKind.MODEL,
            association=Association(ConnectionType.BELONGS_TO, target_names=("productSku", "productLot")),
        ),
        FieldSchema(
            "comments",
            "Comment",
            FieldKind.MODEL,
            is_list=True,
            association=Association(ConnectionType.HAS_MANY, associated_with=("postId",)),
        ),
        FieldSchema("blogId", "ID"),
        CREATED_AT,
    ),
)

COUNTRY = NonModelSchema("Country", (FieldSchema("code", "String"),))
PLACE = NonModelSchema(
    "Place",
    (
        FieldSchema("country", "Country", FieldKind.NON_MODEL),
        FieldSchema("city", "String"),
    ),
)

SCHEMA = Schema(
    models={item.name: item for item in (BLOG, PRODUCT, POST)},
    non_models={item.name: item for item in (COUNTRY, PLACE)},
)

POST_SELECTION = (
    "id title status blogId createdAt place { city country { code } } _version _lastChangedAt _deleted "
    "blog { id _deleted } product { sku lot _deleted }"
)
