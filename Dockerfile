# The images of controller and runner, from what `make build image-runner` has built:
#
#   docker build --target controller -t terraform-controller .
#   docker build --target runner -t terraform-runner .
ARG CONTROLLER_BASE=gcr.io/distroless/static-debian12:nonroot
ARG RUNNER_BASE=docker.io/library/alpine:3.22

FROM ${CONTROLLER_BASE} AS controller
COPY bin/terraform-controller /usr/local/bin/terraform-controller
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/terraform-controller"]

# The provider mirror of build/runner-image is for the local cluster, which has no network: it stays out.
FROM ${RUNNER_BASE} AS runner
# ssh wants to know its user by name.
RUN apk add --no-cache ca-certificates git openssh-client \
    && adduser -D -H -u 65532 -h /home/runner runner
COPY build/runner-image/usr/local/bin/ /usr/local/bin/
COPY --chown=65532:65532 build/runner-image/home/runner/ /home/runner/
ENV HOME=/home/runner
USER 65532:65532
WORKDIR /home/runner
ENTRYPOINT ["/usr/local/bin/terraform-runner"]
