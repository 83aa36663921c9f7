"""A scripted AMQP 1.0 peer on python-qpid-proton, for what Microsoft's Python packages do not (or no longer) do."""

import os

from proton import SSLDomain

from common import SERVICE, fields, sas


def tls():
    """TLS that trusts what SSL_CERT_FILE names and checks the host's name."""
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(os.environ["SSL_CERT_FILE"])
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
    return domain


def plain(connection_string=SERVICE):
    """User and password for SASL PLAIN with a policy's connection string."""
    hub = fields(connection_string)
    host, policy = hub["HostName"], hub["SharedAccessKeyName"]
    return "{}@sas.root.{}".format(policy, host.split(".")[0]), sas(host, hub["SharedAccessKey"], policy)
