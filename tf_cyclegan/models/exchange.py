"""What a model's networks are in the weight files of other implementations."""


class Exchanging:
    """What `convert` asks of a model; a mixin."""

    def parts(self):
        """The networks by the roles that weight files hold them in, see `importing.roles`."""
        return {f"generator_{direction}": self.generator(direction) for direction in self.directions}

    def weight_files(self):
        """What PyTorch's implementations keep in which file.

        Returns:
            Dict of the names of files, without an ending, or of roles, to dicts of domains or `""` to the list of
            networks that are kept together.
        """
        return {role: {"": [network]} for role, network in self.parts().items()}

    @classmethod
    def settings_of(cls, found):
        """The constructor's arguments by which networks in weight files make this model.

        Args:
            found: `importing.assembly.Found`, whose own `settings()` are used for what is not said here.

        Returns:
            dict, or None where they are of another model.

        Raises:
            ValueError: if they are this model's, and do not fit together.
        """
        return None
