"""The names of a model's networks in the weight files of other implementations."""


class Exchanging:
    """The methods of a model that `convert` calls; a mixin."""

    def parts(self):
        """Dict of the roles of networks in weight files, see `importing.roles`, to the networks."""
        return {f"generator_{direction}": self.generator(direction) for direction in self.directions}

    def weight_files(self):
        """The weight files that the PyTorch implementation of the model writes.

        Returns:
            Dict of files to their content. A file is a name without an ending, or a role. The content is a dict of
            domains, or of `""`, to the list of networks that stand together.
        """
        return {role: {"": [network]} for role, network in self.parts().items()}

    @classmethod
    def settings_of(cls, found):
        """The constructor's arguments that make this model of the networks in weight files.

        Args:
            found: `importing.assembly.Found`, whose `settings()` fill in the other arguments.

        Returns:
            Dict of arguments, or None if the networks belong to another model.

        Raises:
            ValueError: if the networks belong to this model, and do not fit together.
        """
        return None
