# The emulator in an image of its own: one static program, no shell, not root.
#
#   docker build -t hubnerite .
#   docker run --rm -p 443:443 -p 5671:5671 -p 8883:8883 -p 127.0.0.1:8484:8484 hubnerite --device d1
#
# BUILDER is any image with Go 1.26 or later and a shell, for example a mirror's or one
# whose module cache is filled.
ARG BUILDER=golang:1.26

FROM ${BUILDER} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o /out/hubnerite ./cmd/hubnerite \
    && mkdir -p /out/data /out/tmp

FROM scratch
COPY --from=build /out/hubnerite /hubnerite
# 65532 is nobody in particular. A volume takes over the owner of the directory.
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/tmp /tmp
# A port can only be published from an address that others reach; publish the
# management port, 8484, to 127.0.0.1 only.
# Data goes to /data/hubnerite unless HUBNERITE_DATA or HUBNERITE_IN_MEMORY says otherwise.
ENV HUBNERITE_BIND=0.0.0.0 XDG_DATA_HOME=/data
USER 65532:65532
VOLUME /data
EXPOSE 443 5671 5672 8883 8484
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=5 CMD ["/hubnerite", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/hubnerite"]
