# make run     the daemon with a demonstration configuration, in the foreground
# make demo    a website with a chat, to be opened in a browser
# make test    installs what the tests need and runs them
# make check   the quick part, for every edit: format, lint, types, layers, unit tests
# make torture, make bench   by hand: see docs/testing.md

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.py pyproject.toml $(shell find authbridge twisted bin -type f -not -name '*.pyc')

# Tests that start programs of ours, or count high: `make test` has them, `make check` has not the time.
LONG := --ignore tests/cli --ignore tests/fuzz --ignore tests/recipes --ignore tests/test_daemon.py --ignore tests/test_tap.py \
	--ignore tests/ldap/test_mutations.py --ignore tests/ldap/test_codec_oracle.py

# Of these the tests take every branch.
FULLY := authbridge/model.py,authbridge/authenticator.py,authbridge/chains.py,authbridge/logins.py,authbridge/token_logins.py,authbridge/jid_templates.py,authbridge/providers/*,authbridge/sql/*,authbridge/client_tls.py,authbridge/domains.py,authbridge/domain_names.py,authbridge/peers.py,authbridge/prebind.py,authbridge/rate.py,authbridge/troubles.py,authbridge/seen_users.py,authbridge/uses_of_state.py,authbridge/sessions/*,authbridge/stores/*,authbridge/token_office/*,authbridge/localparts.py,authbridge/takers.py,authbridge/wire/*,authbridge/connector/*,authbridge/ldap/*,authbridge/checkers/*,authbridge/tokens/*,authbridge/issuers/*,authbridge/outbound/*

# Tests with real servers that go into a process of their own: those with Samba, which is started there
# alone, and others that share none, as many as take the rest about as long as the unit tests and these.
APART := $(patsubst %,tests/system/test_%*.py,389 active_directory bosh directory_documents http prosody_module revocation seen standalone state temporary two_nodes)

# Those with websites, OAuth providers and databases, likewise.
AUTHORITIES := $(patsubst %,tests/system/test_%*.py,authorities oauth sql website)

# Those with a browser, likewise.
PAGES := $(patsubst %,tests/system/test_%*.py,example_django web_chat)

.PHONY: run demo test check lint unit system apart authorities pages torture bench clean
.DELETE_ON_ERROR:

run: $(VENV)/installed
	@demo/run

demo: $(VENV)/installed
	@demo/web

test:
	tests/install-debian-packages
	@# Before there is a test that would have to wait for it.
	tests/install-npm-packages
	tests/install-npm-packages tests/system/oidc
	tests/install-npm-packages examples/django
	$(MAKE) --no-print-directory lint
	@# Much of the time is spent in waiting for servers and deadlines: two at once, each told when it is over.
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target system unit apart pages authorities

check: lint
	$(MAKE) --no-print-directory unit WITHOUT='$(LONG)'

lint: $(VENV)/tools
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > $(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }

unit: $(VENV)/tools
	@# The store that several daemons share is tried with a real one.
	tests/install-debian-packages redis-server
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests --ignore tests/system $(WITHOUT)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under 100 --include '$(FULLY)'
	$(BIN)/coverage report

system: $(VENV)/tools
	$(BIN)/python -m pytest tests/system $(patsubst %,--ignore-glob '%',$(APART) $(AUTHORITIES) $(PAGES))

# Each process looks for its own secrets in what it has started.
apart: $(VENV)/tools
	$(BIN)/python -m pytest $(APART) tests/system/test_canary.py

authorities: $(VENV)/tools
	tests/install-npm-packages tests/system/oidc
	$(BIN)/python -m pytest $(AUTHORITIES) tests/system/test_canary.py

pages: $(VENV)/tools
	tests/install-npm-packages
	tests/install-npm-packages examples/django
	$(BIN)/python -m pytest $(PAGES) tests/system/test_canary.py

torture: $(VENV)/tools
	tests/install-debian-packages slapd ldap-utils redis-server
	$(BIN)/python -m tests.fuzz.frames
	$(BIN)/python -m tests.fuzz.requests
	$(BIN)/python -m tests.fuzz.outages
	$(BIN)/python -m tests.fuzz.temporary

bench: $(VENV)/tools
	@# slapd, nginx, Redis and the peers; python-ldap is built from its source.
	tests/install-debian-packages slapd nginx redis-server libldap-dev libsasl2-dev sasl2-bin gcc libc6-dev python3-dev
	$(BIN)/python -m pip install --quiet '.[bench]'
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) .demo build *.egg-info examples/django/node_modules tests/browser/node_modules tests/system/oidc/node_modules

# Not `pip install -e`: that would hide twisted/plugins from an installed Twisted.
$(VENV)/installed: $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "authbridge needs Python 3.11 or later; try make PYTHON=python3.11")'
	@# Debian's Python brings no venv of its own.
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/install-debian-packages python3-venv
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# What a build left before; the pictures of the tests beside it stay.
	rm -rf build/lib build/bdist.* build/scripts-*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	touch $@

$(VENV)/tools: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '.[sql,test]'
	touch $@
