"""The methods measured against each other, and the whole pipeline against its parts; results/ holds what was found."""
