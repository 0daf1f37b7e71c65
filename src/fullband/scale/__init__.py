"""The same as `fullband enhance` over one machine's cores or a cluster's, with Ray Data.

place    a folder on a disk or in an object store, by its address
record   what became of each file, in parts that are written once
listing  what is to be done, folder by folder, without what is done already
work     what a worker does: enhance files, or pieces of long ones, or join them
rounds   which work there is for some files, and what follows from what came of it
cluster  who does it: actors of Ray Data
run      the driver: round after round in bounded memory, and the manifest
"""
