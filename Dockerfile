# An image that does one thing: copy the executable to /target, where Velero's init container has the plugin volume.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 -t REGISTRY/velero-plugin-cnpg:v0.1.0 --push .
#
# No platform is emulated: Bun compiles for the other one. What the image holds is the executable, glibc's loader and the four
# libraries beside it, licences and a bill of materials; no shell. Musl is not needed: the executable runs in Velero's own image,
# which has glibc in every version. Two builds of the same sources have the same layer.
#
# `npm run image:test` builds this file without a container engine, with stand-ins for the two base images below, and runs the
# result. The digests are those that other public repositories pin; they could not be pulled where this file was written. To renew:
#   docker buildx imagetools inspect node:24-bookworm-slim
ARG NODE_IMAGE=node:24-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d
ARG LIBC_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot@sha256:be40c00dfabd86576d92666e87e406714d5618342de1a0c213ad232de255172e

# glibc for the platform of the image; nothing is run in it.
FROM ${LIBC_IMAGE} AS libc

FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# For a registry of your own: --secret id=npmrc,src=$HOME/.npmrc
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci
ARG TARGETARCH
# The runtime that becomes part of the executable, by the checksum of the lock file. The one for amd64 needs no AVX2.
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=npmrc,target=/root/.npmrc \
  case "$TARGETARCH" in amd64) cpu=x64 ;; arm64) cpu=arm64 ;; *) echo "no runtime for $TARGETARCH" >&2; exit 1 ;; esac \
  && mkdir /runtime && cp package.json package-lock.json .npmrc /runtime/ && cd /runtime \
  && npm ci --ignore-scripts --prefer-offline --os=linux --libc=glibc --cpu="$cpu" \
  && mv node_modules/@oven/bun-linux-*/bin/bun bun && rm -rf node_modules
COPY . .
RUN case "$TARGETARCH" in amd64) target=x64-baseline ;; *) target="$TARGETARCH" ;; esac \
  && npm run generate && npm run sbom \
  && BUILD_FLAGS="--target=bun-linux-$target --compile-executable-path=/runtime/bun" npm run bundle
COPY --from=libc / /libc/
RUN case "$TARGETARCH" in \
    amd64) libraries=lib/x86_64-linux-gnu loader=lib64/ld-linux-x86-64.so.2 ;; \
    *) libraries=lib/aarch64-linux-gnu loader=lib/ld-linux-aarch64.so.1 ;; \
  esac \
  && mkdir -p /image/plugins /image/licenses "/image/$libraries" "/image/$(dirname $loader)" \
  && cp dist/velero-plugin-cnpg /image/plugins/ && cp dist/sbom.cdx.json /image/ \
  && for pack in kyma filesystem example; do ln -s velero-plugin-cnpg "/image/plugins/velero-plugin-$pack"; done \
  && for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0; do cp -L "/libc/$libraries/$library" "/image/$libraries/"; done \
  && cp -L "/libc/$loader" "/image/$loader" \
  && cp LICENSE NOTICE /image/licenses/ && cp -L /libc/usr/share/doc/libc6/copyright /image/licenses/glibc \
  && find /image -type d -exec chmod 0755 {} + && find /image -type f -exec chmod 0644 {} + \
  && chmod 0755 /image/plugins/velero-plugin-cnpg "/image/$loader" \
  && find /image -exec touch --no-dereference --date=@0 {} +

FROM scratch
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="velero-plugin-cnpg" \
  org.opencontainers.image.description="Velero plugins that recover CloudNativePG clusters" \
  org.opencontainers.image.version="$VERSION" \
  org.opencontainers.image.revision="$REVISION" \
  org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
USER 65532:65532
ENTRYPOINT ["/plugins/velero-plugin-cnpg", "install"]
