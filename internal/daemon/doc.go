// Package daemon is what every main of the appliance shares: flags, version,
// exit codes, the logger, opening the store, sockets from systemd or of our
// own, the notify protocol, reload, TLS and the drain.
//
// Words: a Program is one daemon's name and door; a Door is what it serves, by
// HTTP or by a Server of its own. To drain is to stop accepting and to let the
// requests that run come to their end.
package daemon
