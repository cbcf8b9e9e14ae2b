# A model in an image of its own, on top of alcove's, which is not built again: `make inject MODEL_NAME=...`.
# The build context is the model's folder.
ARG IMAGE=alcove

FROM ${IMAGE} AS model
ARG MODEL_NAME
USER 0
COPY . /models/${MODEL_NAME}
# The folder's permissions may shut out the image's user, and a folder that cannot be served should not become an image.
RUN chmod -R u=rwX,go=rX /models \
    && ALCOVE_INSECURE_NO_AUTH=1 alcove check "/models/${MODEL_NAME}" > /dev/null

FROM ${IMAGE}
ARG MODEL_NAME
COPY --from=model /models /models
ENV ALCOVE_CONFIG=/models/${MODEL_NAME}
