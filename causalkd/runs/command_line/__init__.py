"""What only the command line needs: arguments that commands share, groups of commands, and how errors end them."""
