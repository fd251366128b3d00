"""English dates as logs and command lines write them: they sort, and no reader takes the month for the day."""

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s"
