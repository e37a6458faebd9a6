"""An upload by Python's ftplib, at so many bytes a second, for those who kill it.

    ftp_upload.py FILE PATH RATE
"""

import sys
import time

from ftp_door import login

path, name, rate = sys.argv[1], sys.argv[2], int(sys.argv[3])
block = 65536
with open(path, "rb", buffering=0) as file:
    login().storbinary("STOR " + name, file, block, lambda _: time.sleep(block / rate))
