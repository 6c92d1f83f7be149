package errno

import "syscall"

// systemErrnos are the numbers that only Linux has and that are near enough to a portable one to say more than EIO does.
var systemErrnos = []hostPair{
	{syscall.ERESTART, EINTR},
	{syscall.ENOMEDIUM, ENODEV},
}
