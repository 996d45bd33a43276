# syntax=docker/dockerfile:1
# Two stages: a static binary, then an image with that binary, the roots of
# trust and an empty folder for the database, and nothing else.
#
#   docker build --build-arg VERSION=1.2.3 -t prmsync .

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
# The modules change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/prmsync ./cmd/prmsync \
 && mkdir -p /out/state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/prmsync /prmsync
# No shell here could create it, and the user may write nowhere else. Zones are
# inside the binary.
COPY --from=build --chown=65532:65532 /out/state /var/lib/prmsync
USER 65532:65532
WORKDIR /var/lib/prmsync
VOLUME /var/lib/prmsync
# Inside a container the listeners must be reachable from outside; publish them
# on loopback or to the network of Prometheus only.
ENV PRMSYNC_CONFIG=/etc/prmsync/prmsync.yaml \
    PRMSYNC_DATABASE_URL=sqlite:/var/lib/prmsync/prmsync.db \
    PRMSYNC_LISTEN=:9464 \
    PRMSYNC_PROBE_LISTEN=:9465 \
    PRMSYNC_LOG_FORMAT=json \
    SQLITE_TMPDIR=/var/lib/prmsync \
    TMPDIR=/var/lib/prmsync
EXPOSE 9464 9465
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/prmsync", "health"]
ENTRYPOINT ["/prmsync"]
CMD ["run"]
