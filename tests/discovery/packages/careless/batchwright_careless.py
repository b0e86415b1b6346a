"""An engine that starts one process too many."""

from dataclasses import replace

from launcher.engines.torchrun import Torchrun


class Careless(Torchrun):
    """torchrun, with a slip of the pen."""

    name = "careless"

    def render(self, plan, hosts):
        """The right words but one."""
        bundle = super().render(plan, hosts)
        (command,) = bundle.commands
        argv = list(command.argv)
        argv[argv.index("--nproc_per_node") + 1] = str(plan.layout.devices_per_node + 1)
        return replace(bundle, commands=(replace(command, argv=tuple(argv)),))


ENGINE = Careless()
