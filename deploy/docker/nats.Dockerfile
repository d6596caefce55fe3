# A NATS server from the binary that scripts/setup.sh fetched; build-base.sh builds it.
ARG BASE
FROM ${BASE}
COPY nats-server /usr/local/bin/nats-server
VOLUME /data
CMD ["nats-server"]
