"""Every number of the contract, once, named. Lengths count code points, sizes count bytes."""

from typing import Final

NAME_MAX: Final = 200
EMAIL_MAX: Final = 254
EMAIL_LOCAL_MAX: Final = 64
TITLE_MAX: Final = 300
TAGS_MAX: Final = 32
TAG_MAX: Final = 64
BATCH_MAX: Final = 1_000

CONTENT_MAX_BYTES: Final = 1024 * 1024
CONTENT_MAX_DEPTH: Final = 32
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1

PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 200
WHERE_MAX: Final = 8
WHERE_PATH_MAX: Final = 8
WHERE_SEGMENT_MAX: Final = 64
TAG_FILTERS_MAX: Final = 8
QUERY_TEXT_MAX: Final = 200

ACTION_MAX: Final = 100
DETAIL_MAX_BYTES: Final = 16 * 1024
SUBJECT_MAX: Final = 200
MAIL_BODY_MAX: Final = 20_000
MAIL_TRIES: Final = 5
FILENAME_MAX: Final = 255
ROOM_NAME_MAX: Final = 64
MESSAGE_MAX: Final = 4_000
FRAME_MAX_BYTES: Final = 64 * 1024
IDEMPOTENCY_KEY_MAX: Final = 128
KEPT_HOURS: Final = 24
"""Of answers under an idempotency key, and of the change feed."""
SUBSCRIBER_QUEUE: Final = 1_000

MEMBERS_MAX: Final = 32
"""Of an object that is not free-form."""
FINDINGS_MAX: Final = 100
"""That an answer tells of a request."""
BODY_MAX_BYTES: Final = 16 * 1024 * 1024
REQUEST_ID_MAX: Final = 128
VERSION_MAX: Final = 2**31 - 1

LATEST_DOCUMENTS: Final = 5
LATEST_ACTIVITY: Final = 5
DASHBOARD_DAYS: Final = 30
DASHBOARD_TOP: Final = 10
