package ftp

import (
	"strings"

	ftpserver "github.com/fclairamb/ftpserverlib"
)

// Site implements ftpserver.ClientDriverExtensionSite. ftpserverlib v0.32.3 panics on SITE CHMOD without arguments, and would ask
// for what objects do not have.
func (d *driver) Site(param string) *ftpserver.AnswerCommand {
	verb, _, _ := strings.Cut(param, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "MKDIR":
		return nil // as MKD does
	case "HELP":
		return &ftpserver.AnswerCommand{Code: ftpserver.StatusHelpMessage, Message: "SITE commands: HELP MKDIR"}
	case "CHMOD", "CHOWN", "CHGRP", "UMASK", "UTIME", "SYMLINK", "RMDIR":
		return &ftpserver.AnswerCommand{Code: ftpserver.StatusActionNotTaken, Message: "SITE " + verb + " not supported here"}
	}
	return &ftpserver.AnswerCommand{Code: ftpserver.StatusSyntaxErrorNotRecognised, Message: "Unknown SITE command"}
}
