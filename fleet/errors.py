"""What can go wrong, by whose fault it is."""


class FleetError(Exception):
    """What the user can mend: the job list, a file of it, the command line, the folder for the results."""


class HostGone(ConnectionError):
    """A host cannot be reached, is silent, or answers with an error of its own (HTTP 500 and above)."""


class JobRefused(Exception):
    """A host does not take a job: the graph or a value in it is wrong.

    elsewhere: whether another host may take it, since what is wrong is a name that this host does not know, as a model
    file that it lacks, or a picture too large for it.
    """

    def __init__(self, message: str, elsewhere: bool = False):
        super().__init__(message)
        self.elsewhere = elsewhere
