"""The same as `fullband enhance` over one machine's cores or a cluster's, with Ray Data.

place   a folder on a disk or in an object store, by its address
listing what is to be done, folder by folder, without what is done already
record  what became of each file, in parts that are written once
work    what a worker does: enhance files, or pieces of long ones, or join them
run     the driver: rounds of work in bounded memory, retries, the manifest
"""
