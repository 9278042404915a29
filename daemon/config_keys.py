"""What becomes of those keys of ZooKeeper 3.9 that set nothing here.

Names come from ZooKeeper's administrator's guide and QuorumPeerConfig, without the prefix `zookeeper.`.
Where a key's name in zoo.cfg and its Java system property differ, both are listed.
"""

from __future__ import annotations

_JAVA = "it tunes the JVM or a Java library"
_THREADS = "one event loop does this server's work; there are no such threads"
_QUORUM_TLS = "the channel between servers has no TLS"
_HANDSHAKES = "so many handshakes are under way at once as do no harm; the others wait"
_SASL = "there is no SASL here; the schemes are world, auth, digest, ip, x509 and super"
_WATCHES = "there is one watch table, and it needs no cleaner"
_THROTTLE = "globalOutstandingLimit and maxClientCnxns are what limits load"
_SNAPSHOTS = "the storage engine keeps the state; there are no snapshot files"
_LOG = "the log sizes its own segments"
_BATCH = "what waits for the disk is flushed together by itself"
_CACHE = "replies are copied out of storage as they are; there is no cache of them"
_ELECTION = "the consensus backend times its own elections"
_PEERS = "the consensus backend has its own channel between servers"
_METRICS = "the admin port has the metrics"
_ADMIN = "the admin port has no such option"
_AUDIT = "auditlog.file says where the audit log goes, if it is enabled"
_SESSIONS = "every session is global"
_TRUST = "the log is checked by its checksums at every start"

_IGNORED_BY_REASON: tuple[tuple[str, str], ...] = (
    (
        _JAVA,
        "jvm.pause.monitor jvm.pause.sleep.time.ms jvm.pause.warn-threshold.ms jvm.pause.info-threshold.ms"
        " jmx.log4j.disable jmx.log4j.mbean fips-mode serverCnxnFactory netty.advancedFlowControl.enabled"
        " advancedFlowControlEnabled intBufferStartingSizeBytes nio.directBufferBytes",
    ),
    (
        _THREADS,
        "nio.numSelectorThreads nio.numWorkerThreads nio.shutdownTimeout nio.sessionlessCnxnTimeout"
        " commitProcessor.numWorkerThreads commitProcessor.maxReadBatchSize"
        " commitProcessor.maxCommitBatchSize commitProcessor.shutdownTimeout quorum.cnxn.threads.size",
    ),
    (
        _HANDSHAKES,
        "outstandingHandshake.limit netty.server.outstandingHandshake.limit"
        " netty.server.earlyDropSecureConnectionHandshakes",
    ),
    (_QUORUM_TLS, "sslQuorumReloadCertFiles portUnification"),
    ("SIGHUP has key and certificates read anew (systemctl reload)", "client.certReload"),
    ("TLS is OpenSSL's", "ssl.sslProvider"),
    ("a trust store in PEM needs no password", "ssl.trustStore.password ssl.trustStore.passwordPath"),
    ("it is clients that check a server's name", "ssl.hostnameVerification ssl.allowReverseDnsLookup"),
    (
        _SASL,
        "superUser allowSaslFailedClients letAnySaslUserDoX requireKerberosConfig kinit"
        " SASLAuthenticationProvider.superPassword sasl.serverconfig security.auth_to_local"
        " kerberos.removeHostFromPrincipal kerberos.removeRealmFromPrincipal"
        " kerberos.canonicalizeHostNames kerberos.minReLoginTimeMs quorum.auth.kerberos.servicePrincipal"
        " quorum.auth.learner.saslLoginContext quorum.auth.server.saslLoginContext",
    ),
    (
        _WATCHES,
        "watchManagerName watcherCleanThreadsNum watcherCleanThreshold watcherCleanIntervalInSeconds"
        " maxInProcessingDeadWatchers bitHashCacheSize",
    ),
    (
        _THROTTLE,
        "maxCnxns connectionMaxTokens connectionTokenFillTime connectionTokenFillCount connectionFreezeTime"
        " connectionDropIncrease connectionDropDecrease connectionDecreaseRatio connection_throttle_tokens"
        " connection_throttle_fill_time connection_throttle_fill_count connection_throttle_freeze_time"
        " connection_throttle_drop_increase connection_throttle_drop_decrease"
        " connection_throttle_decrease_ratio connection_throttle_weight_enabled"
        " connection_throttle_global_session_weight connection_throttle_local_session_weight"
        " connection_throttle_renew_session_weight requestThrottleLimit requestThrottleStallTime"
        " requestThrottleDropStale requestStaleLatencyCheck requestStaleConnectionCheck"
        " request_throttle_max_requests request_throttle_stall_time request_throttle_drop_stale"
        " request_stale_latency_check request_stale_connection_check request_throttler.shutdownTimeout"
        " largeRequestMaxBytes largeRequestThreshold throttledOpWaitTime throttled_op_wait_time",
    ),
    (
        _SNAPSHOTS,
        "snapSizeLimitInKb snapshot.compression.method snapshotSizeFactor forceSnapshotSync"
        " serializeLastProcessedZxid.enabled",
    ),
    ("what was applied is flushed to the storage engine by itself, every few seconds", "snapCount"),
    (
        "log is dropped by itself, once flushed past; autopurge.snapRetainCount says how much stays",
        "autopurge.purgeInterval",
    ),
    (_TRUST, "snapshot.trust.empty db.autocreate digest.enabled"),
    (_LOG, "preAllocSize txnLogSizeLimitInKb"),
    (_BATCH, "flushDelay maxWriteQueuePollTime maxBatchSize"),
    (_CACHE, "maxResponseCacheSize maxGetChildrenResponseCacheSize"),
    (
        _ELECTION,
        "electionAlg fastleader.minNotificationInterval fastleader.maxNotificationInterval"
        " maxTimeToWaitForEpoch leader.maxTimeToWaitForEpoch cnxTimeout quorumCnxnTimeoutMs"
        " electionPortBindRetry observer.election.DelayMs",
    ),
    (
        _PEERS,
        "connectToLearnerMasterLimit leaderConnectDelayDuringRetryMs observer.reconnectDelayMs"
        " observerMasterPort observerMaster.sizeLimit quorumListenOnAllIPs multiAddress.enabled"
        " multiAddress.reachabilityCheckTimeoutMs multiAddress.reachabilityCheckEnabled tcpKeepAlive"
        " learner.closeSocketAsync leader.closeSocketAsync learner.asyncSending leader.nodelay"
        " follower.nodelay leader.ackLoggingFrequency maxConcurrentSnapSyncs maxConcurrentDiffSyncs"
        " leader.maxConcurrentSnapSyncs leader.maxConcurrentDiffSyncs messageTracker.BufferSize"
        " messageTracker.Enabled follower.skipLearnerRequestToNextProcessor"
        " forward_learner_requests_to_commit_processor_disabled request.timeout",
    ),
    (
        _METRICS,
        "pathStats.enabled pathStats.delay pathStats.initialDelay pathStats.maxDepth pathStats.sampleRate"
        " pathStats.slotCapacity pathStats.slotDuration pathStats.topPathMax",
    ),
    (
        _ADMIN,
        "admin.rateLimiterIntervalInMS admin.snapshot.enabled admin.restore.enabled"
        " admin.idleTimeout admin.commandURL admin.httpVersion controllerPort",
    ),
    (_AUDIT, "audit.impl.class auditlog.threshold"),
    (_SESSIONS, "localSessionsEnabled localSessionsUpgradingEnabled closeSessionTxn.enabled"),
    ("autopurge.snapRetainCount says how much log stays for lagging servers", "commitLogCount"),
    ("every write is on disk before it is acknowledged, always", "forceSync"),
    ("a leader serves clients", "leaderServes"),
    ("an observer keeps its log on disk like every server", "syncEnabled observer.syncEnabled"),
    ("a server is an observer when its server.N line says so", "peerType"),
    ("without server.N lines a server is standalone, with them it never is", "standaloneEnabled"),
    ("the set of servers is fixed by this file; reconfig answers ReconfigDisabled", "reconfigEnabled"),
    ("an oracle for two servers is not offered", "oraclePath"),
    ("the version belongs to dynamic configuration files", "version"),
    ("no data written by ZooKeeper 3.5.3 is read here", "emulate353TTLNodes"),
    ("a frame is limited by jute.maxbuffer, and its transaction with it", "jute.maxbuffer.extrasize"),
    ("ACLs are checked where the order of writes is made", "enableEagerACLCheck"),
    ("a dead connection ends with what its session may be silent for", "clientTcpKeepAlive"),
    ("the data directory is made if it is missing", "datadir.autocreate"),
    ("there is no scheme 'ensemble'", "ensembleAuthName"),
    ("a client's address is its connection's", "IPAuthenticationProvider.usexforwardedfor"),
    ("it names schemes for enforce.auth.enabled, which is refused", "enforce.auth.schemes"),
    ("it belongs to ZooKeeper's own tests", "test.allowDiscontinuousProposals testingonly.initialZxid"),
    (
        "it is an option of ZooKeeper's client",
        "client.secure clientCnxnSocket disableAutoWatchReset sasl.client sasl.clientconfig"
        " sasl.client.username sasl.client.canonicalize.hostname",
    ),
)

_QUORUM_TLS_NAMES = """
    keyStore.location keyStore.password keyStore.passwordPath keyStore.type trustStore.location
    trustStore.password trustStore.passwordPath trustStore.type protocol enabledProtocols ciphersuites
    context.supplier.class hostnameVerification clientHostnameVerification allowReverseDnsLookup crl ocsp
    clientAuth handshakeDetectionTimeoutMillis
"""

IGNORED: dict[str, str] = {key: why for why, keys in _IGNORED_BY_REASON for key in keys.split()} | {
    f"ssl.quorum.{name}": _QUORUM_TLS for name in _QUORUM_TLS_NAMES.split()
}
"""Key → why it sets nothing here. Accepted with one warning."""

IGNORED_FAMILIES: dict[str, str] = {
    "metricsProvider.": _METRICS,
    "authProvider": "the schemes are built in: world, auth, digest, ip, x509 and super",
    "superUser.": _SASL,
}
"""The same for keys that ZooKeeper lets a user name: prefix → why."""

REFUSED: dict[str, tuple[str, str]] = {
    "dynamicConfigFile": ("", "one file holds the whole configuration: move its server.N lines here"),
    "sslQuorum": ("false", _QUORUM_TLS),
    "ssl.ocsp": (
        "false",
        "nobody is asked about a certificate; ssl.crl has lists of those revoked looked at",
    ),
    "ssl.clientHostnameVerification": ("false", "a client's certificate is not held against its address"),
    "ssl.context.supplier.class": (
        "",
        "it is a Java class; ssl.keyStore.location names key and certificates",
    ),
    "ssl.authProvider": ("x509", "it is a Java class; the scheme of client certificates is x509"),
    "quorum.auth.enableSasl": ("false", _SASL),
    "quorum.auth.serverRequireSasl": ("false", _SASL),
    "quorum.auth.learnerRequireSasl": ("false", _SASL),
    "sessionRequireClientSASLAuth": ("false", _SASL),
    "enforce.auth.enabled": ("false", "clients are not made to authenticate; ACLs guard the data"),
    "DigestAuthenticationProvider.enabled": ("true", "the scheme 'digest' is always offered"),
    "DigestAuthenticationProvider.digestAlg": ("SHA1", "digests are SHA-1"),
}
"""Key → (the value that is as things are here, why no other is taken).

Not a warning but a fault: to go on without these would leave a server open, or alone, that its
owner believes guarded, or part of an ensemble.
"""

REFUSED_FAMILIES: dict[str, str] = {
    "group.": "a quorum is a majority of the servers, without groups",
    "weight.": "a quorum is a majority of the servers, without weights",
}
"""The same for families: prefix → why."""

_WORDS = "conf cons crst dump envi ruok srst srvr stat wchs wchc wchp mntr isro dirs hash gtmk stmk"
WORDS = frozenset(_WORDS.split())
"""The four-letter words that 4lw.commands.whitelist may name."""
