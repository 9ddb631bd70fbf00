#!/bin/sh
# Tries the files of this folder as far as the tools at hand allow: units, proxies, compose, alert rules.
# Says what it skips; exit code 1 when something is refused. CI runs it through tests/unit/house/test_deploy_try.py.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

has() { command -v "$1" >/dev/null 2>&1 || { echo "skipped: $2 ($1 is not installed)"; return 1; }; }
try() {
    name=$1; shift
    if "$@" >"$work/out" 2>&1; then echo "ok: $name"; else echo "FAILED: $name"; sed 's/^/    /' "$work/out"; failed=1; fi
}

# Highest exposure that systemd may report for a unit.
exposure() { systemd-analyze security --offline=true --threshold=20 --no-pager "$1"; }
# A program that is not installed here is no mistake of the unit.
units() {
    systemd-analyze verify deploy/systemd/*.service deploy/systemd/*.socket >"$work/verify" 2>&1
    ! grep -v "is not executable" "$work/verify"
}
if has systemd-analyze "systemd units"; then
    try "systemd units" units
    for unit in deploy/systemd/*.service; do try "exposure of $unit" exposure "$unit"; done
fi

if has nginx "nginx.conf" && has openssl "nginx.conf"; then
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 1 \
        -subj /CN=billing.example >/dev/null 2>&1
    sed -e "s#/etc/letsencrypt/live/billing.example/fullchain.pem#$work/cert.pem#" \
        -e "s#/etc/letsencrypt/live/billing.example/privkey.pem#$work/key.pem#" deploy/proxy/nginx.conf >"$work/site.conf"
    paths=$(for one in client_body proxy fastcgi uwsgi scgi; do echo "${one}_temp_path $work/$one;"; done)
    printf 'pid %s/pid; error_log %s/log;\nevents {}\nhttp { access_log off; %s include %s/site.conf; }\n' \
        "$work" "$work" "$paths" "$work" >"$work/nginx.conf"
    try "nginx.conf ($(nginx -v 2>&1))" nginx -t -q -p "$work" -c "$work/nginx.conf"
fi
if has caddy "Caddyfile"; then
    try "Caddyfile (caddy $(caddy version))" caddy validate --config deploy/proxy/Caddyfile --adapter caddyfile
fi
if docker compose version >/dev/null 2>&1; then
    POSTGRES_PASSWORD=x; export POSTGRES_PASSWORD
    touch "$work/.env"
    try "compose.yaml" docker compose --project-directory . --env-file "$work/.env" config --quiet --no-env-resolution
else
    echo "skipped: compose.yaml (docker compose is not installed)"
fi
if has promtool "alert rules"; then
    try "alert rules" promtool check rules deploy/monitoring/alerts.yml
fi
exit "$failed"
