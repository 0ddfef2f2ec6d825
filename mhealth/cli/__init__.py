"""The command line: a thin shell over the packages. Heavy imports wait until a command runs."""

import typer

from mhealth.cli import _demo, _evaluate, _export, _intervals, _label, _models, _terminal, _train

__all__ = ["app", "main"]

app = typer.Typer(
    name="mhealth",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Label wearable ECG and respiration: waves, breaths, and where a signal cannot be used.\n\n"
    "Research software, no medical device. `mhealth COMMAND --help` shows examples.",
)
for _command, _epilog in (
    (_label.label, _label.EPILOG),
    (_intervals.intervals, _intervals.EPILOG),
    (_train.train, _train.EPILOG),
    (_evaluate.evaluate, _evaluate.EPILOG),
    (_export.export, _export.EPILOG),
    (_models.models, _models.EPILOG),
    (_demo.demo, _demo.EPILOG),
):
    app.command(help=_terminal.help_of(_command), epilog=_epilog)(_command)


def main() -> None:
    """Run the command line; the entry point `mhealth`."""
    app()
