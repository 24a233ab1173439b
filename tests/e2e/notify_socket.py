#!/usr/bin/env python3
"""notify_socket.py PATH LOG - a service manager's ear: writes every line a process sends to the socket PATH into LOG."""
import os
import socket
import sys

path, log = sys.argv[1:3]
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(path)
with open(log, "w", buffering=1) as out:
    print("LISTENING", file=out)
    while True:
        out.write(ear.recv(4096).decode() + "\n")
